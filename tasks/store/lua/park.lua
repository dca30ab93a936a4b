-- Park a running attempt until what it waits for has come: running → parked, and on to ready if it has come already.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] usage, [8] leaf, [9] usage that is not in the ledger yet, or '',
-- then five a wait: key, kind, what is waited for (JSON), ms until it expires (0: with the step), '1': people are asked
-- Reply: '' | status that refused it
local job, step, attempt = open_job(ARGV[4]), ARGV[5], ARGV[6]
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step, 'T:' .. step, 'k:' .. step)
if not facts[1] then return 'gone' end
if facts[2] ~= attempt then return 'superseded' end
if not may(ARGV[3], facts[1]) then return facts[1] end

if ARGV[9] ~= '' then spend(job, step, ARGV[8], ARGV[9], scopes_of(job, step, ARGV[8], facts[4])) end
local keys, kinds = {}, {}
for at = 10, #ARGV, 5 do
  local key = ARGV[at]
  keys[#keys + 1] = key
  kinds[#kinds + 1] = '"' .. ARGV[at + 1] .. '"'
  if redis.call('HSETNX', job.waits, wait_field('w', step, key), ARGV[at + 2]) == 1 then
    if ARGV[at + 3] ~= '0' then redis.call('HSET', job.waits, wait_field('x', step, key), ms(now + tonumber(ARGV[at + 3]))) end
    if ARGV[at + 4] == '1' then redis.call('ZADD', asked, ms(now), job.id .. ':' .. step .. ' ' .. key) end
    local wanted = ARGV[at + 1] == 'children' and 'children_wanted' or ARGV[at + 1] == 'hand_off' and 'hand_off_wanted'
    if wanted then tell(wanted, job, step, attempt, key) end
    if ARGV[at + 1] == 'message' then await_message(job, step, key, ARGV[at + 2]) end
  end
end
-- What it waited for before stays in the list: its code asks again for all of it, in the same order.
local all, known = {}, {}
for key in keys_waited_for(job, step) do all[#all + 1], known[key] = key, true end
for _, key in ipairs(keys) do if not known[key] then all[#all + 1] = key end end
redis.call('HSET', job.waits, '# ' .. step, table.concat(all, ' '))
keep_alive(job, job.waits)
redis.call('HSET', job.steps, 's:' .. step, 'parked')
redis.call('HDEL', job.steps, 'e:' .. step)
lose_calls(job, step)
release(job, step)
end_attempt(job, step, attempt, 'parked', ',"usage":' .. ARGV[7])
emit(job, 'step_parked', step, attempt, '{"waits_for":[' .. table.concat(kinds, ',') .. ']}')
local open, first = open_waits(job, step)
local due = first and earliest(first, facts[3]) or tonumber(facts[3] or nil)
if due then redis.call('ZADD', timers, ms(due), job.id .. ':' .. step)
else redis.call('ZREM', timers, job.id .. ':' .. step) end
if open == 0 then wake(job, step) end
return ''
