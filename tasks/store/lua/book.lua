-- Enter what a call came to: its usage into ledger and budgets, once, also when the attempt is over by now, for the
-- money is spent; its outcome into the step's journal, if the attempt is still the running one.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] call, or '' for one that was not begun by `reserve`,
-- [8] leaf: agent and model, [9] usage, [10] id of the journal entry, or '', [11] entry,
-- [12] scopes of a call that was not begun, or whose beginning is not known here any more,
-- [13] what the trace says of it, or ''
-- Reply: '' | status of the step when the attempt is over (superseded, gone …)
local job, step, attempt, call, id = open_job(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[10]
if redis.call('EXISTS', job.key) == 0 then return 'gone' end
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
local current = facts[2] == attempt and may(ARGV[3], facts[1])
local scopes = call ~= '' and close_call(job, step, attempt, call)
-- A failover may lose the last second, and with it that the call was begun: then the entry tells whether it was booked.
local told = call == '' or id ~= ''
if not scopes and told and current and redis.call('HEXISTS', job.journal, step .. ' ' .. id) == 0 then scopes = ARGV[12] end
if scopes and ARGV[9] ~= '0 0 0 0 0 0 0' then spend(job, step, ARGV[8], ARGV[9], scopes) end
if scopes then note_call(job, step, attempt, ARGV[13]) end
if not current then return facts[2] ~= attempt and 'superseded' or facts[1] or 'gone' end
if id ~= '' and redis.call('HSETNX', job.journal, step .. ' ' .. id, ARGV[11]) == 1 then
  local order = redis.call('HGET', job.journal, step .. ' #')
  redis.call('HSET', job.journal, step .. ' #', (order and order .. ' ' or '') .. id)
  keep_alive(job, job.journal)
end
return ''
