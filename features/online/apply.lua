-- Enter events of one shopper into the rings.
-- KEYS: recent ring, history ring, mark of being forgotten, merges into others
-- ARGV: version byte, owner (8 bytes), seconds to live,
--       cap and records of the recent ring, cap and records of the history ring, and perhaps
--       when they became the shopper's, in milliseconds, else each did at its ms;
--       records are sorted by (ms, turn, tag), the turn being the upper 16 bits of ts, and no two
--       have the same tag and item
-- Returns how many records were new in each ring. The same call twice changes nothing.
local version, owner, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local HEAD, SIZE, DAY = 16, 24, 86400
local sub, find, unpack_of, pack_of = string.sub, string.find, struct.unpack, struct.pack
local gone = tonumber(redis.call('GET', KEYS[3]) or -1)
local merged = redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')
if merged[2] then gone = math.max(gone, tonumber(merged[2])) end
local since = tonumber(ARGV[8])

local TURNS = 1024

local function order(bytes, at)
  local low, high, turn = unpack_of('<I4I2I2', bytes, at)
  return (low + high * 4294967296) * TURNS + turn, (unpack_of('<I4', bytes, at + 20))
end

local function before(place, tag, other, other_tag)
  return place < other or (place == other and tag < other_tag)
end

local function holds(body, record)
  local item, tag = sub(record, 9, 16), sub(record, 21, 24)
  local at = find(body, tag, 21, true)
  while at do
    if (at - 21) % SIZE == 0 and sub(body, at - 12, at - 5) == item then return true end
    at = find(body, tag, at + 1, true)
  end
  return false
end

local function fresh_of(body, records, cap)
  local floor, floor_tag = -1, -1
  if #body >= cap * SIZE then floor, floor_tag = order(body, #body - cap * SIZE + 1) end
  local fresh = {}
  for at = 1, #records, SIZE do
    local record = sub(records, at, at + SIZE - 1)
    local place, tag = order(record, 1)
    if (since or math.floor(place / TURNS)) > gone and not before(place, tag, floor, floor_tag)
        and not holds(body, record) then
      fresh[#fresh + 1] = record
    end
  end
  return fresh
end

local function merge(body, fresh, cap)
  local merged, is_new, at, next_fresh = {}, {}, 1, 1
  while at <= #body or next_fresh <= #fresh do
    local take_fresh = at > #body
    if not take_fresh and next_fresh <= #fresh then
      local place, tag = order(fresh[next_fresh], 1)
      take_fresh = before(place, tag, order(body, at))
    end
    if take_fresh then
      merged[#merged + 1], is_new[#merged + 1] = fresh[next_fresh], 1
      next_fresh = next_fresh + 1
    else
      merged[#merged + 1] = sub(body, at, at + SIZE - 1)
      at = at + SIZE
    end
  end
  local first, new = math.max(1, #merged - cap + 1), 0
  for index = first, #merged do new = new + (is_new[index] or 0) end
  return table.concat(merged, '', first), new
end

local function first_revision()
  -- Milliseconds, so that a ring that is begun anew never repeats a revision it had.
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function write(key, revision, body)
  local head = version .. '\0\0\0' .. pack_of('<I4', revision % 4294967296) .. owner
  redis.call('SET', key, head .. body, 'EX', ttl)
end

local function append(key, revision, added)
  redis.call('APPEND', key, added)
  redis.call('SETRANGE', key, 4, pack_of('<I4', (revision + 1) % 4294967296))
  if redis.call('TTL', key) < ttl - DAY then redis.call('EXPIRE', key, ttl) end
end

local function enter(key, cap, records)
  if #records == 0 then return 0 end
  local ring, body, revision = redis.call('GET', key), '', nil
  if ring and #ring >= HEAD and (#ring - HEAD) % SIZE == 0
      and sub(ring, 1, 1) == version and sub(ring, 9, 16) == owner then
    body, revision = sub(ring, HEAD + 1), (unpack_of('<I4', ring, 5))
  end
  if body == records then return 0 end
  local fresh = fresh_of(body, records, cap)
  if #fresh == 0 then return 0 end
  local added, in_order = table.concat(fresh), true
  if #body > 0 then
    local place, tag = order(fresh[1], 1)
    in_order = not before(place, tag, order(body, #body - SIZE + 1))
  end
  if in_order and revision and #body + #added <= (cap + math.floor(cap / 4)) * SIZE then
    append(key, revision, added)  -- a quarter more than the cap, so that trimming is rare
    return #fresh
  end
  local new = #fresh
  if in_order then
    body = sub(body .. added, -cap * SIZE)
  else
    body, new = merge(body, fresh, cap)
  end
  write(key, revision and revision + 1 or first_revision(), body)
  return new
end

return { enter(KEYS[1], tonumber(ARGV[4]), ARGV[5]), enter(KEYS[2], tonumber(ARGV[6]), ARGV[7]) }
