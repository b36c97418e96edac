-- Mark a shopper as merged into another up to a stamp: from now on nothing that arrived up to then
-- enters their rings.
-- KEYS: recent ring, history ring, merges
-- ARGV: stamp in milliseconds, seconds the mark is kept, into whom
-- Returns both rings as they are.
redis.call('ZADD', KEYS[3], ARGV[1], ARGV[1] .. ' ' .. ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return { redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) }
