-- End an attempt: running → succeeded, or → delayed with its failure (failed, returned). Only the current attempt may.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] outcome: succeeded | failed | returned,
-- [8] result or failure, [9] usage, [10] cost (for older releases), [11] what of the result is kept apart, or '',
-- [12] leaf: agent and model, [13] usage that is not in the ledger yet, or '', [14] '1': the next attempt converses anew,
-- [15] what was found before it failed, or '', [16], [17] what the session is told and its metadata, or ''
-- Reply: '' when accepted, else the status that refused it (superseded: a later attempt was begun; gone: no such job)
local job, step, attempt, outcome = open_job(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'k:' .. step)
if not facts[1] then return 'gone' end
if facts[2] ~= attempt then return 'superseded' end
if not may(ARGV[3], facts[1]) then return facts[1] end

if ARGV[13] ~= '' then -- budgets count it too: what is left for others is less
  spend(job, step, ARGV[12], ARGV[13], scopes_of(job, step, ARGV[12], facts[3]))
end
if outcome ~= 'succeeded' then
  if ARGV[14] == '1' then rewind(job, step, 0) end
  if ARGV[15] ~= '' then keep(job, 'p:' .. step, ARGV[15]) end
  falter(job, step, attempt, outcome, ARGV[9], ARGV[8])
  return ''
end
keep(job, 'r:' .. step, ARGV[8])
keep_apart(job, 'r:' .. step, ARGV[11])
end_attempt(job, step, attempt, 'succeeded', ',"usage":' .. ARGV[9])
close_step(job, step, 'succeeded')
emit(job, 'step_succeeded', step, attempt, '{"usage":' .. ARGV[9] .. '}')
if facts[3] == 'plan' then tell('plan_proposed', job, step, attempt)
elseif facts[3] == 'synthesis' then
  if ARGV[16] ~= '' then answer_turn(job, ARGV[16], ARGV[17]) end
  finish_job(job, 'completed')
else
  if redis.call('HEXISTS', job.steps, 'N:' .. step) == 0 then redis.call('HINCRBY', job.key, 'won', 1) end
  advance(job, step)
end
return ''
