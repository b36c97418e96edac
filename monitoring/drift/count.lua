-- Add what lines of a log have counted, and note how far the log was read: both or neither.
-- KEYS: positions, then a hash for each window
-- ARGV: the log, the position it was read from and to, seconds to keep, then for each window
--       the number of its fields, and each field and what it grows by
-- Returns 1, or 0 where the log was read from there before: nothing is counted twice.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '0') ~= ARGV[2] then return 0 end
local at = 5
for window = 2, #KEYS do
  local last = at + 2 * tonumber(ARGV[at])
  for place = at + 1, last, 2 do
    redis.call('HINCRBY', KEYS[window], ARGV[place], ARGV[place + 1])
  end
  redis.call('EXPIRE', KEYS[window], ARGV[4])
  at = last + 1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
