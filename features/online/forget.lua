-- Remove what is known of a shopper up to a stamp; what arrived later stays.
-- KEYS: recent ring, history ring, profile, mark of being forgotten, buckets with an answer, and
--       perhaps merges that were done
-- ARGV: stamp in milliseconds, seconds the mark is kept (0: there is none), what the keys of
--       answers begin with, and perhaps the stamp of the merge that is done with this and into
--       whom, and seconds that is kept
local stamp = tonumber(ARGV[1])
local HEAD, SIZE = 16, 24
local marked = tonumber(redis.call('GET', KEYS[4]) or -1)
-- Done before: what arrived earlier and is here now came by a merge after that.
if tonumber(ARGV[2]) > 0 and marked >= stamp then return 0 end
if KEYS[6] then
  local merge = ARGV[4] .. ' ' .. ARGV[5]
  if redis.call('ZADD', KEYS[6], 'NX', ARGV[4], merge) == 0 then return 0 end
  redis.call('EXPIRE', KEYS[6], ARGV[6])
end

local function ms_at(value, at)
  local low, high = struct.unpack('<I4I2', value, at)
  return low + high * 4294967296
end

for ring = 1, 2 do
  local value = redis.call('GET', KEYS[ring])
  if value then
    local at = HEAD + 1
    while at <= #value - SIZE + 1 and ms_at(value, at) <= stamp do at = at + SIZE end
    if at > #value - SIZE + 1 then
      redis.call('DEL', KEYS[ring])
    elseif at > HEAD + 1 then
      local revision = (struct.unpack('<I4', value, 5) + 1) % 4294967296
      local head = value:sub(1, 4) .. struct.pack('<I4', revision) .. value:sub(9, HEAD)
      redis.call('SET', KEYS[ring], head .. value:sub(at), 'KEEPTTL')
    end
  end
end

if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[4], string.format('%.0f', math.max(marked, stamp)), 'EX', ARGV[2])
end
for _, bucket in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  redis.call('DEL', ARGV[3] .. bucket)  -- of the same slot, by their beginning
end
redis.call('DEL', KEYS[3], KEYS[5])
return 1
