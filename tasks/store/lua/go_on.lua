-- Let a job begin further steps of work: those that are held first. Its deadline is set anew, for it may have stood long.
-- ARGV[3] job id, [4] how many more, or '' for all, [5] timeout of the job from now, ms
-- Reply: status of the job, '' when there is no such job; one that is final is not changed
local job = open_job(ARGV[3])
local facts = redis.call('HMGET', job.key, 'status', 'held', 'keep', 'idem', 'deadline', 'allow')
if not facts[1] then return '' end
if facts[1] ~= 'pending' and facts[1] ~= 'in_progress' then return facts[1] end
if ARGV[4] == '' then redis.call('HDEL', job.key, 'allow')
elseif facts[6] then redis.call('HINCRBY', job.key, 'allow', ARGV[4]) end
redis.call('HDEL', job.key, 'held')
local deadline = math.max(now + tonumber(ARGV[5]), tonumber(facts[5]))
local expires = ms(deadline + tonumber(facts[3]))
redis.call('HSET', job.key, 'deadline', ms(deadline), 'expires', expires)
redis.call('ZADD', timers, ms(deadline), job.id)
for _, key in ipairs(keys_of(job)) do redis.call('PEXPIREAT', key, expires) end
if is_remembered(job, facts[4]) then redis.call('PEXPIREAT', facts[4], expires) end
emit(job, 'job_continued', nil, nil, ARGV[4] ~= '' and '{"steps":' .. ARGV[4] .. '}' or '{}')
for step in string.gmatch(facts[2] or '', '%S+') do
  if redis.call('HGET', job.steps, 's:' .. step) == 'blocked' then
    redis.call('HDEL', job.steps, 'h:' .. step)
    redis.call('HSET', job.steps, 'q:' .. step, ms(now))
    to_ready(job, step)
  end
end
return facts[1]
