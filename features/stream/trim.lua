-- Drop what all groups have done with from the beginning of the stream.
-- KEYS: stream
-- ARGV: the groups without which nothing is dropped
-- Returns how many entries were dropped.
local floors = {}
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for at = 1, #info, 2 do group[info[at]] = info[at + 1] end
  local pending = redis.call('XPENDING', KEYS[1], group['name'])
  if pending[1] > 0 then
    floors[group['name']] = pending[2]
  else
    local ms, number = string.match(group['last-delivered-id'], '(%d+)-(%d+)')
    floors[group['name']] = ms .. '-' .. string.format('%.0f', number + 1)
  end
end
for _, name in ipairs(ARGV) do
  if not floors[name] then return 0 end
end

local function before(one, other)
  local ms, number = string.match(one, '(%d+)-(%d+)')
  local other_ms, other_number = string.match(other, '(%d+)-(%d+)')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms < other_ms or (ms == other_ms and tonumber(number) < tonumber(other_number))
end

local lowest
for _, floor in pairs(floors) do
  if not lowest or before(floor, lowest) then lowest = floor end
end
return redis.call('XTRIM', KEYS[1], 'MINID', lowest)
