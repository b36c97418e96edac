-- Keep a profile; the same one again changes nothing, and a shopper just forgotten gets none, but
-- one that is known to be of later.
-- KEYS: profile, mark of being forgotten
-- ARGV: version byte, owner (8 bytes), seconds to live, profile as JSON, up to which stamp the
--       shopper had been forgotten when it was found (-1 for not)
local version, owner, ttl, profile = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local gone = redis.call('GET', KEYS[2])
if gone and tonumber(gone) > tonumber(ARGV[5]) then return 0 end
local value, revision = redis.call('GET', KEYS[1]), nil
if value and #value >= 16 and value:sub(1, 1) == version and value:sub(9, 16) == owner then
  if value:sub(17) == profile then
    redis.call('EXPIRE', KEYS[1], ttl)
    return 0
  end
  revision = struct.unpack('<I4', value, 5) + 1
else
  local time = redis.call('TIME')
  revision = time[1] * 1000 + math.floor(time[2] / 1000)
end
local head = version .. '\0\0\0' .. struct.pack('<I4', revision % 4294967296) .. owner
redis.call('SET', KEYS[1], head .. profile, 'EX', ttl)
return 1
