-- Another agent goes on with a parked step and its conversation: parked → ready in that agent's queue, with fresh counts.
-- ARGV[3] job id, [4] step, [5] key of the wait, [6] its outcome, [7] the step's spec from now on, [8] its queue,
-- [9] its most ms in the queue (0: any), [10] event data
-- Reply: 1 done | 0 stale: the wait has an outcome, or the step is not parked for it
local job, step, key = open_job(ARGV[3]), ARGV[4], ARGV[5]
local wait = redis.call('HMGET', job.waits, wait_field('w', step, key), wait_field('o', step, key))
if redis.call('HGET', job.steps, 's:' .. step) ~= 'parked' or not wait[1] or wait[2] then return 0 end
redis.call('HSET', job.specs, step, ARGV[7])
redis.call('HSET', job.steps, 'Q:' .. step, ARGV[8])
redis.call('HDEL', job.steps, 'n:' .. step, 'x:' .. step)
limit(job, step, ARGV[9], '0')
emit(job, 'step_handed_over', step, nil, ARGV[10])
set_outcome(job, step, key, ARGV[6])
return 1
