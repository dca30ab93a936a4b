-- Another agent takes a step over in place of giving it up: ready, dispatched or delayed → ready, in its queue, with
-- fresh counts. One attempt number is left out, so that whatever is on its way about the old agent's is stale.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt that ended or was never claimed, [7] the step's spec from now on,
-- [8] its queue, [9] its most ms in the queue (0: any), [10] event data
-- Reply: 1 done | 0 stale | 3 the step's or the job's time is over: nothing was changed
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'T:' .. step)
if not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= attempt then return 0 end
if now_of(job) >= earliest(tonumber(redis.call('HGET', job.key, 'deadline')), facts[3]) then return 3 end
if facts[1] == 'ready' then leave_line(job, step) end
release(job, step)
redis.call('HSET', job.specs, step, ARGV[7])
redis.call('HSET', job.steps, 'Q:' .. step, ARGV[8])
limit(job, step, ARGV[9], '0')
fresh(job, step)
rewind(job, step, 0)
emit(job, 'step_fell_back', step, attempt, ARGV[10])
to_ready(job, step)
return 1
