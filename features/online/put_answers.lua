-- Cache answers, and remember the buckets of each shopper, so that forgetting finds them.
-- KEYS: of each answer its key, and that of its shopper's buckets with an answer
-- ARGV: of each answer its value, milliseconds to live, bucket
-- Returns 1, or the first error once all others were kept.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local failed

local function ask(...)
  local told = redis.pcall(...)
  if type(told) == 'table' and told.err then failed = failed or told end
  return told
end

for each = 0, #KEYS / 2 - 1 do
  local answer, buckets = KEYS[2 * each + 1], KEYS[2 * each + 2]
  local value, ttl, bucket = ARGV[3 * each + 1], tonumber(ARGV[3 * each + 2]), ARGV[3 * each + 3]
  ask('SET', answer, value, 'PX', ttl)
  ask('ZREMRANGEBYSCORE', buckets, '-inf', now)
  ask('ZADD', buckets, now + ttl, bucket)
  if ask('PTTL', buckets) < ttl then ask('PEXPIRE', buckets, ttl) end
end
return failed or 1
