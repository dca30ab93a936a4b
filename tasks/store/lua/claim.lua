-- Give one attempt to one worker: dispatched → running, with its lease.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] worker, [8] lease ms, [9] token
-- A claim whose reply was lost is made again with its token, and gets the same reply.
-- Reply: {} when it is not to be had, else {job spec, step spec, ms left of step and job, then four an input:
--   step, its status, its spec, its result or failure; at the end, in one string: the attempt that its parent is at
--   (0: it has none), then of each input the attempt that it is at}
-- Inputs: the dependencies; in place of one that did not succeed also what that one depended on, so that no
-- finished result is lost behind a failed step.
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'i:' .. step, 'c:' .. step, 'T:' .. step, 'p:' .. step)
local again = facts[1] == 'running' and facts[2] == attempt and facts[4] == ARGV[9]
local stale = not may(ARGV[3], facts[1]) or facts[2] ~= attempt
if not again and (stale or not is_accepted(job)) then
  count('x', redis.call('HGET', job.steps, 'Q:' .. step) or '-', 1)
  return {}
end

if not again then
  redis.call('HSET', job.steps, 's:' .. step, 'running', 'w:' .. step, ARGV[7], 't:' .. step, ms(now), 'c:' .. step, ARGV[9])
  redis.call('ZADD', timers, ms(now + tonumber(ARGV[8])), job.id .. ':' .. step)
  redis.call('HSETNX', job.key, 'started', ms(now))
  emit(job, 'step_started', step, attempt, cjson.encode({ worker = ARGV[7] }))
  local of_step = redis.call('HMGET', job.steps, 'Q:' .. step, 'q:' .. step)
  show(job, step, of_step[1], 'running')
  count_time('p', of_step[1], now - tonumber(of_step[2]))
  local latest = redis.call('HGET', load, 'C:' .. of_step[1])
  if tonumber(of_step[2]) > tonumber(latest or '0') then redis.call('HSET', load, 'C:' .. of_step[1], of_step[2]) end
end

local of_job = redis.call('HMGET', job.key, 'spec', 'deadline')
local reply = { of_job[1], redis.call('HGET', job.specs, step), ms(earliest(tonumber(of_job[2]), facts[5]) - now) }
local parent = string.match(facts[6] or '', '^%S+')
local numbers = { parent and redis.call('HGET', job.steps, 'a:' .. parent) or '0' }
local seen, work = {}, {}
for id in string.gmatch(facts[3] or '', '%S+') do work[#work + 1] = id end
local at = 1
while at <= #work do
  local id = work[at]
  at = at + 1
  if not seen[id] then
    seen[id] = true
    local input = redis.call('HMGET', job.steps, 's:' .. id, 'i:' .. id, 'a:' .. id)
    local good = input[1] == 'succeeded'
    numbers[#numbers + 1] = input[3] or '0'
    reply[#reply + 1] = id
    reply[#reply + 1] = input[1]
    reply[#reply + 1] = redis.call('HGET', job.specs, id)
    reply[#reply + 1] = redis.call('HGET', job.results, (good and 'r:' or 'f:') .. id) or ''
    if not good then
      for before in string.gmatch(input[2] or '', '%S+') do
        if redis.call('HEXISTS', job.steps, 'N:' .. before) == 0 then work[#work + 1] = before end
      end
    end
  end
end
reply[#reply + 1] = table.concat(numbers, ' ')
return reply
