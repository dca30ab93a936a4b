-- Let nothing of a job begin, and stop what runs: ready, dispatched, running → ready, held. O(steps)
-- Its clock stands still; one that nobody lets go on within the retention ends with its deadline.
-- ARGV[3] sources of hold, [4] job id
-- Reply: status of the job, '' when there is no such job; one that is final, or paused before, is not changed
local job = open_job(ARGV[4])
local facts = redis.call('HMGET', job.key, 'status', 'order', 'deadline', 'keep', 'idem', 'paused')
if not facts[1] then return '' end
if (facts[1] ~= 'pending' and facts[1] ~= 'in_progress') or facts[6] then return facts[1] end
local left = math.max(tonumber(facts[3]) - now, 0)
redis.call('HSET', job.key, 'paused', ms(now), 'left', ms(left))
live_until(job, now + tonumber(facts[4]), tonumber(facts[4]), facts[5])
leave_lines(job)
local held = {}
for step in string.gmatch(facts[2], '%S+') do
  local of_step = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
  if may(ARGV[3], of_step[1]) then
    if of_step[1] == 'running' then
      end_attempt(job, step, of_step[2], 'returned', '')
    elseif of_step[1] == 'dispatched' then -- its message is stale from now on, and it was never begun
      redis.call('HINCRBY', job.steps, 'u:' .. step, 1)
    end
    redis.call('HSET', job.steps, 's:' .. step, 'ready')
    redis.call('ZREM', timers, job.id .. ':' .. step)
    lose_calls(job, step)
    release(job, step)
    held[#held + 1] = '"' .. step .. '"'
  elseif is_open(of_step[1]) then -- what it waits for may come, but its clock stands still: `go_on` sets it again
    local due = redis.call('ZSCORE', timers, job.id .. ':' .. step)
    if due then
      redis.call('HSET', job.steps, 'M:' .. step, of_step[1] .. ' ' .. ms(math.max(tonumber(due) - now, 0)))
      redis.call('ZREM', timers, job.id .. ':' .. step)
    end
  end
end
emit(job, 'job_paused', nil, nil, '{"steps":[' .. table.concat(held, ',') .. '],"by":"request"}')
return facts[1]
