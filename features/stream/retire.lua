-- Strike consumers off a group that have nothing in hand and were not heard of for a while.
-- KEYS: stream
-- ARGV: group, milliseconds of silence, the one that may go at once
-- Returns how many were struck off.
local retired = 0
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for at = 1, #info, 2 do consumer[info[at]] = info[at + 1] end
  local leaves = consumer['name'] == ARGV[3] or consumer['idle'] >= tonumber(ARGV[2])
  if consumer['pending'] == 0 and leaves then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    retired = retired + 1
  end
end
return retired
