-- Fill the journal of a step from a recording, before its job is submitted. A second time: no change.
-- ARGV[3] job id, [4] step, [5] ms that it is kept if the job is not submitted, then two an entry: its id, its content
-- Reply: 1 filled | 0 the job is there already
local job, step = open_job(ARGV[3]), ARGV[4]
if redis.call('EXISTS', job.key) == 1 then return 0 end
local order = redis.call('HGET', job.journal, step .. ' #')
local ids = { order or nil }
for at = 6, #ARGV, 2 do
  if redis.call('HSETNX', job.journal, step .. ' ' .. ARGV[at], ARGV[at + 1]) == 1 then ids[#ids + 1] = ARGV[at] end
end
redis.call('HSET', job.journal, step .. ' #', table.concat(ids, ' '))
redis.call('PEXPIRE', job.journal, ARGV[5])
return 1
