-- Take the next attempt of ready steps: ready → dispatched. A control entry that is read twice (its reader died
-- between this move and the publish) gets the same attempt again, so the message is published again, never lost.
-- ARGV[3] sources of dispatch, [4] sources of republish, [5] ms until an unclaimed message is looked for,
-- then three an entry: job id, step, attempt
-- Reply: for each entry the step's spec, or '' when it is stale
local reply = {}
for at = 6, #ARGV, 3 do
  local job, step, attempt = open_job(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'e:' .. step, 'T:' .. step, 'Q:' .. step)
  local spec = ''
  if is_paused(job) or not is_accepted(job) then spec = ''
  elseif may(ARGV[3], facts[1]) and tonumber(facts[2] or '0') + 1 == tonumber(attempt) then
    redis.call('HSET', job.steps, 's:' .. step, 'dispatched', 'a:' .. step, attempt, 'q:' .. step, ms(now))
    local since = redis.call('ZSCORE', base .. facts[5] .. ':present', job.id .. ':' .. step)
    if since then count_time('o', facts[5], now - tonumber(since)) end
    show(job, step, facts[5], 'dispatched')
    local due = earliest(now + tonumber(ARGV[5]), facts[3], facts[4])
    redis.call('ZADD', timers, ms(due), job.id .. ':' .. step)
    emit(job, 'step_dispatched', step, attempt)
    spec = redis.call('HGET', job.specs, step)
  elseif may(ARGV[4], facts[1]) and facts[2] == attempt then
    spec = redis.call('HGET', job.specs, step)
  end
  reply[#reply + 1] = spec
end
return reply
