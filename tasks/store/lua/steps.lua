-- What several moves have in common: a step ends, an attempt falters, a job ends. Stands after admission.

-- The limits of a step to come, ms; 0: none. Those that are none take no room.
local function limit(job, step, queue_ms, total_ms)
  if queue_ms ~= '0' then redis.call('HSET', job.steps, 'y:' .. step, queue_ms)
  else redis.call('HDEL', job.steps, 'y:' .. step, 'e:' .. step) end
  if total_ms ~= '0' then redis.call('HSET', job.steps, 'z:' .. step, total_ms) end
end

local function close_step(job, step, status)
  redis.call('HSET', job.steps, 's:' .. step, status, 'f:' .. step, ms(now))
  redis.call('HINCRBY', job.key, 'open', -1)
  redis.call('HINCRBY', job.key, 'done', 1)
  redis.call('ZREM', timers, job.id .. ':' .. step)
  lose_calls(job, step)
  release(job, step)
end

-- A step begins anew: nothing is held against it, and one attempt number is left out (u counts those), so that
-- whatever is still on its way about it is stale.
local function fresh(job, step)
  redis.call('HINCRBY', job.steps, 'a:' .. step, 1)
  redis.call('HINCRBY', job.steps, 'u:' .. step, 1)
  redis.call('HDEL', job.steps, 'n:' .. step, 'x:' .. step)
end

-- Ends the job: open steps are cancelled, the retention clock starts. O(steps), once in a job's life.
local function finish_job(job, status, failure)
  leave_lines(job)
  if tonumber(redis.call('HGET', job.key, 'open') or '0') > 0 then
    for step in string.gmatch(redis.call('HGET', job.key, 'order') or '', '%S+') do
      if is_open(redis.call('HGET', job.steps, 's:' .. step)) then
        close_step(job, step, 'cancelled')
        emit(job, 'step_cancelled', step)
      end
    end
  end
  redis.call('HSET', job.key, 'status', status, 'finished', ms(now), 'failure', failure or '')
  uncount('jobs', 1)
  uncount('J:' .. (redis.call('HGET', job.key, 'tenant') or ''), 1)
  redis.call('ZREM', timers, job.id)
  local data = '"status":"' .. status .. '"'
  if failure and failure ~= '' then data = data .. ',"failure":' .. failure end
  emit(job, 'job_finished', nil, nil, '{' .. data .. '}')
  redis.call('XADD', base .. 'finished', 'MAXLEN', '~', 10000, '*', 'job', job.id)
  local kept = redis.call('HMGET', job.key, 'keep', 'idem')
  for _, key in ipairs(keys_of(job)) do redis.call('PEXPIRE', key, kept[1]) end
  if is_remembered(job, kept[2]) then redis.call('PEXPIRE', kept[2], kept[1]) end
end

-- Whether a step that was given up had found something that the answer can rest on: it ran out of budget, not of luck.
local function leaves_something(job, step)
  local facts = redis.call('HMGET', job.results, 'f:' .. step, 'p:' .. step)
  return facts[1] and facts[2] and cjson.decode(facts[1])['code'] == 'budget_spent'
end

local function no_result(job, step)
  local failure = redis.call('HGET', job.results, 'f:' .. step)
  local reason = 'nothing it depends on succeeded'
  if failure then
    local fact = cjson.decode(failure)
    reason = 'step ' .. step .. ': ' .. fact['message']
  end
  return cjson.encode({ code = 'no_result', message = 'no step gave a result to answer from; ' .. reason,
                        retryable = false })
end

-- Whether a blocked step now runs, or is skipped. rest: dependencies that have not ended; good: that succeeded;
-- bad: whether one ended without success; won: whether any step of the plan left something for the answer to rest on:
-- it is written also when no last step succeeded.
local function joined(join, rest, good, bad, won)
  if join == 'all' then return not bad and rest == 0 and good > 0, bad end
  if join == 'any' then return good > 0, rest == 0 and good == 0 end
  local any = good > 0 or won
  return rest == 0 and any, rest == 0 and not any
end

-- A step has ended: count it for those that depend on it; ready, skip (and go on from there) or wait. O(changes).
local function advance(job, ended)
  local cause, work = ended, { ended }
  while #work > 0 do
    local step = table.remove(work)
    local ok = redis.call('HGET', job.steps, 's:' .. step) == 'succeeded'
    for child in string.gmatch(redis.call('HGET', job.steps, 'd:' .. step) or '', '%S+') do
      local rest = redis.call('HINCRBY', job.steps, 'r:' .. child, -1)
      local good = redis.call('HINCRBY', job.steps, 'o:' .. child, ok and 1 or 0)
      local now_is = redis.call('HMGET', job.steps, 's:' .. child, 'j:' .. child, 'k:' .. child)
      local won = good == 0 and now_is[3] == 'synthesis' and redis.call('HGET', job.key, 'won') ~= '0'
      local runs, skips = joined(now_is[2], rest, good, not ok, won)
      if now_is[1] == 'blocked' and runs then
        to_ready(job, child)
      elseif now_is[1] == 'blocked' and skips then
        close_step(job, child, 'skipped')
        emit(job, 'step_skipped', child)
        work[#work + 1] = child
        if now_is[3] == 'synthesis' then return finish_job(job, 'failed', no_result(job, cause)) end
      end
    end
  end
end

-- The attempt ended without success; what follows is the orchestrator's decision.
local function falter(job, step, attempt, outcome, usage, failure)
  local was = redis.call('HMGET', job.steps, 'w:' .. step, 't:' .. step)
  redis.call('HSET', job.steps, 's:' .. step, 'delayed')
  if outcome == 'lost' then redis.call('HINCRBY', job.steps, 'x:' .. step, 1)
  elseif outcome == 'failed' then redis.call('HINCRBY', job.steps, 'n:' .. step, 1) end
  redis.call('ZREM', timers, job.id .. ':' .. step)
  lose_calls(job, step)
  release(job, step)
  keep(job, 'a:' .. step .. ':' .. attempt, '{"step":"' .. step .. '","number":' .. attempt ..
    ',"outcome":"' .. outcome .. '","worker":' .. cjson.encode(was[1]) .. ',"started_at":' .. was[2] ..
    ',"finished_at":' .. ms(now) .. ',"usage":' .. usage .. ',"failure":' .. failure .. '}')
  emit(job, 'step_faltered', step, attempt, '{"failure":' .. failure .. '}')
  tell('attempt_ended', job, step, attempt, failure)
end
