-- Say what came of something that a step waits for: an approval, an answer, a refusal of its children.
-- ARGV[3] job id, [4] step, [5] key, [6] outcome (JSON)
-- Reply: 1 done | 0 it had an outcome before, or has expired | -1 nothing of that name is waited for
local job = open_job(ARGV[3])
if redis.call('HEXISTS', job.waits, wait_field('w', ARGV[4], ARGV[5])) == 0 then return -1 end
if not is_open(redis.call('HGET', job.steps, 's:' .. ARGV[4])) then return -1 end
local expires = redis.call('HGET', job.waits, wait_field('x', ARGV[4], ARGV[5]))
-- Later than the sweep is no longer in time. The clocks of a paused job stand still.
if expires and tonumber(expires) <= now and not is_paused(job) then
  set_outcome(job, ARGV[4], ARGV[5], '{"kind":"expired"}')
  return 0
end
return set_outcome(job, ARGV[4], ARGV[5], ARGV[6]) and 1 or 0
