-- Mark a shopper as merged into another up to a stamp: from now on nothing that arrived up to then
-- enters their rings.
-- KEYS: recent ring, history ring, merges, merges that were done
-- ARGV: stamp in milliseconds, seconds the mark is kept, into whom
-- Returns both rings as they are; nothing where that was done to the end before: what arrived up
-- to then and is here now came by a merge after it.
local merge = ARGV[1] .. ' ' .. ARGV[3]
if redis.call('ZSCORE', KEYS[4], merge) then return {} end
redis.call('ZADD', KEYS[3], ARGV[1], merge)
redis.call('EXPIRE', KEYS[3], ARGV[2])
return { redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) }
