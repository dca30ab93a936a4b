-- Write events of a running attempt; a stale attempt writes nothing.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] token, then two an event: type, data
-- A call whose reply was lost is made again with its token by the connection, and writes nothing then.
-- Reply: 1 written | 0 stale
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'l:' .. step)
if not may(ARGV[3], facts[1]) or facts[2] ~= attempt then return 0 end
if facts[3] == ARGV[7] then return 1 end
redis.call('HSET', job.steps, 'l:' .. step, ARGV[7])
for at = 8, #ARGV, 2 do
  if ARGV[at] == 'span' then note_call(job, step, attempt, ARGV[at + 1]) -- kept with the calls, and no event
  else emit(job, ARGV[at], step, attempt, ARGV[at + 1]) end
end
return 1
