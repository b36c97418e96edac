-- Put entries that can never be used aside, and take them off the group's list, both or neither.
-- KEYS: stream, dead letters
-- ARGV: group, most dead letters kept, then id, reason and payload per entry
-- Returns how many were put aside; one that was taken off the list before is not put aside again.
local buried = 0
for at = 3, #ARGV, 3 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[at]) == 1 then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[at],
      'group', ARGV[1], 'reason', ARGV[at + 1], 'payload', ARGV[at + 2])
    buried = buried + 1
  end
end
return buried
