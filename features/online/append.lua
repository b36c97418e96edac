-- Append events to the stream, each id once.
-- KEYS: stream, ids seen in this window, ids seen in the one before
-- ARGV: most entries the stream may hold, seconds ids are kept, then id and payload per event
-- Returns each event's stamp in microseconds, 0 where the id was seen before: the milliseconds of
-- its stream id, and its turn, which is the number in it. Where a millisecond has no more turns the
-- next one begins, so that events are in the order in which they were sent. All or nothing.
local limit, ttl = tonumber(ARGV[1]), ARGV[2]
local ids = {}
for at = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
local now = redis.call('SMISMEMBER', KEYS[2], unpack(ids))
local earlier = redis.call('SMISMEMBER', KEYS[3], unpack(ids))

local new, met = {}, {}
for index, id in ipairs(ids) do
  if now[index] == 0 and earlier[index] == 0 and not met[id] then
    met[id] = true
    new[#new + 1] = index
  end
end
if #new == 0 then
  for index = 1, #ids do now[index] = 0 end
  return now
end
local length = redis.call('XLEN', KEYS[1])
if length + #new > limit then
  return redis.error_reply('FULL the stream holds ' .. length .. ' of ' .. limit .. ' events')
end

local LAST = 999
local stamps, added, place = {}, {}, '*'
for index = 1, #ids do stamps[index] = 0 end
for _, index in ipairs(new) do
  local entry = redis.call('XADD', KEYS[1], place, 'event', ARGV[2 + 2 * index])
  local ms, turn = string.match(entry, '(%d+)-(%d+)')
  ms, turn = tonumber(ms), tonumber(turn)
  stamps[index] = ms * 1000 + math.min(turn, LAST)
  -- The last turn is left to what goes on in another call.
  place = turn < LAST - 1 and '*' or string.format('%.0f-0', ms + 1)
  added[#added + 1] = ids[index]
end
redis.call('SADD', KEYS[2], unpack(added))
if redis.call('TTL', KEYS[2]) < 0 then redis.call('EXPIRE', KEYS[2], ttl) end
return stamps
