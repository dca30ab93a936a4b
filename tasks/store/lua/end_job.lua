-- End a job from outside: pending or in_progress → cancelled or failed; every open step → cancelled.
-- Workers learn of it with their next heartbeat; attempts in flight can no longer settle.
-- ARGV[3] job id, [4] cancelled | failed, [5] failure
-- Reply: status of the job after it, or '' when there is no such job
local job = open_job(ARGV[3])
local status = redis.call('HGET', job.key, 'status')
if not status then return '' end
if status ~= 'pending' and status ~= 'in_progress' then return status end
finish_job(job, ARGV[4], ARGV[5])
return ARGV[4]
