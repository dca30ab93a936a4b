-- Let a job go on: begin further steps of work, those first that are held, and take up what a pause has stopped.
-- Its deadline is set anew, for it may have stood long; after a pause it has as long as it had left.
-- ARGV[3] job id, [4] how many more steps, '' for all, '0' for no more than before, [5] timeout of the job from now, ms
-- Reply: status of the job, '' when there is no such job; one that is final is not changed
local job = open_job(ARGV[3])
local facts = redis.call('HMGET', job.key, 'status', 'held', 'keep', 'idem', 'deadline', 'allow', 'paused', 'left', 'order')
if not facts[1] then return '' end
if facts[1] ~= 'pending' and facts[1] ~= 'in_progress' then return facts[1] end
if ARGV[4] == '0' and not facts[7] then return facts[1] end
if ARGV[4] == '' then redis.call('HDEL', job.key, 'allow')
elseif facts[6] then redis.call('HINCRBY', job.key, 'allow', ARGV[4]) end
redis.call('HDEL', job.key, 'paused', 'left')
if ARGV[4] ~= '0' then redis.call('HDEL', job.key, 'held') end
local deadline = facts[7] and now + tonumber(facts[8]) or math.max(now + tonumber(ARGV[5]), tonumber(facts[5]))
live_until(job, deadline, tonumber(facts[3]), facts[4])
emit(job, 'job_continued', nil, nil, ARGV[4] ~= '' and '{"steps":' .. ARGV[4] .. '}' or '{}')

-- The clocks of its steps stood still, too.
if facts[7] then
  for step in string.gmatch(facts[9], '%S+') do
    local of_step = redis.call('HMGET', job.steps, 's:' .. step, 'g:' .. step, 'T:' .. step, 'Z:' .. step, 'M:' .. step)
    local stood = now - tonumber(facts[7])
    for at, field in pairs({ [3] = 'T:', [4] = 'Z:' }) do
      local ends = is_open(of_step[1]) and of_step[at]
      if ends then redis.call('HSET', job.steps, field .. step, ms(tonumber(ends) + stood)) end
    end
    if of_step[1] == 'parked' then put_off(job, step, stood) end
    if of_step[5] then
      local was, left = string.match(of_step[5], '^(%S+) (%S+)$')
      if was == of_step[1] then redis.call('ZADD', timers, ms(now + tonumber(left)), job.id .. ':' .. step) end
      redis.call('HDEL', job.steps, 'M:' .. step)
    end
    if of_step[1] == 'ready' and not of_step[2] then to_ready(job, step) end
  end
end
if ARGV[4] == '0' then return facts[1] end
for step in string.gmatch(facts[2] or '', '%S+') do
  if redis.call('HGET', job.steps, 's:' .. step) == 'blocked' then
    redis.call('HDEL', job.steps, 'h:' .. step)
    redis.call('HSET', job.steps, 'q:' .. step, ms(now))
    to_ready(job, step)
  end
end
return facts[1]
