-- Accounts: what a job's model and tool calls may cost, hold, and have cost; and the journal of its conversations.
-- Stands after admission. Numbers are whole: micro-dollars, tokens, counts.
-- :ledger  b:<scope>:<what> spent · h:<scope>:<what> held by open calls · u:<step> <agent> <model> usage of one leaf ·
--          c:<step>:<attempt>:<call> what an open call holds, `lost …` once its attempt is over · o:<step> open calls ·
--          n:<step> calls that nobody knows the answer of
-- :journal <step> # ids of its entries in order · <step> <id> one entry

local CALLS_MAX = 3000
local WHATS = { 'cost', 'tokens', 'requests', 'tool_calls' }

local function keep_alive(job, key)
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, redis.call('HGET', job.key, 'expires')) end
end

local function numbers(text)
  local found = {}
  for one in string.gmatch(text, '%S+') do found[#found + 1] = tonumber(one) end
  return found
end

-- Keeps what a call came to with the job, for its trace. record: a CallRecord of tasks/trace.py in JSON, without what is
-- known here. The oldest of too many go; `calls` of the job says how many there were.
local function note_call(job, step, attempt, record)
  if record == '' then return end
  local number = redis.call('HINCRBY', job.key, 'calls', 1)
  redis.call('XADD', job.trace, 'MAXLEN', '~', CALLS_MAX, number .. '-0', 'step', step, 'attempt', attempt,
    'at', ms(now), 'call', record)
  keep_alive(job, job.trace)
end

-- Adds to, or with -1 takes from, what the scopes hold. held: `cost tokens requests tool_calls units|scope scope`
local function hold(job, held, sign)
  local split = string.find(held, '|', 1, true)
  local amounts = numbers(string.sub(held, 1, split - 1))
  for scope in string.gmatch(string.sub(held, split + 1), '%S+') do
    for at, what in ipairs(WHATS) do
      local field = 'h:' .. scope .. ':' .. what
      if amounts[at] ~= 0 and redis.call('HINCRBY', job.ledger, field, ms(sign * amounts[at])) == 0 then
        redis.call('HDEL', job.ledger, field)
      end
    end
  end
  return string.sub(held, split + 1)
end

-- An open call ends: what it holds is free again. Reply: its scopes; nil when it is not open (ended before, or never begun).
local function close_call(job, step, attempt, call)
  local field = 'c:' .. step .. ':' .. attempt .. ':' .. call
  local held = redis.call('HGET', job.ledger, field)
  if not held then return nil end
  redis.call('HDEL', job.ledger, field)
  if string.sub(held, 1, 5) == 'lost ' then
    if redis.call('HINCRBY', job.ledger, 'n:' .. step, -1) == 0 then redis.call('HDEL', job.ledger, 'n:' .. step) end
    count('n', 'late', 1)
    return string.sub(held, string.find(held, '|', 1, true) + 1)
  end
  local rest = {}
  for one in string.gmatch(redis.call('HGET', job.ledger, 'o:' .. step) or '', '%S+') do
    if one ~= attempt .. ':' .. call then rest[#rest + 1] = one end
  end
  if #rest == 0 then redis.call('HDEL', job.ledger, 'o:' .. step)
  else redis.call('HSET', job.ledger, 'o:' .. step, table.concat(rest, ' ')) end
  return hold(job, held, -1)
end

-- Nobody knows what a call came to, so nothing is held for it any more; its usage is still taken if it comes.
local function lose_call(job, step, attempt, call, record)
  local field = 'c:' .. step .. ':' .. attempt .. ':' .. call
  local held = redis.call('HGET', job.ledger, field)
  if not held or string.sub(held, 1, 5) == 'lost ' then return end
  close_call(job, step, attempt, call)
  redis.call('HSET', job.ledger, field, 'lost ' .. held)
  redis.call('HINCRBY', job.ledger, 'n:' .. step, 1)
  count('n', 'lost', 1)
  if string.sub(call, 1, 1) == 'm' then -- of a model; what is held for tools is no call
    note_call(job, step, attempt, record or '{"kind":"model_call","name":"","id":"' .. call .. '","code":"unanswered"}')
  end
  keep_alive(job, job.ledger)
end

-- The attempt of a step is over: so are its open calls. O(open calls)
local function lose_calls(job, step)
  local open = redis.call('HGET', job.ledger, 'o:' .. step)
  if not open then return end
  for one in string.gmatch(open, '%S+') do
    local split = string.find(one, ':', 1, true)
    lose_call(job, step, string.sub(one, 1, split - 1), string.sub(one, split + 1))
  end
end

local function count_usage(job, leaf, usage)
  local tenant = redis.call('HGET', job.key, 'tenant') or ''
  for at, amount in ipairs(numbers(usage)) do
    if amount ~= 0 then
      count('u:' .. at, leaf, amount)
      if tenant ~= '' then count('t:' .. at, tenant, amount) end
    end
  end
end

-- usage: `input output cache_read cache_write requests tool_calls cost`; leaf: `<agent> <model>`
local function spend(job, step, leaf, usage, scopes)
  local field, sums = 'u:' .. step .. ' ' .. leaf, numbers(usage)
  local amounts = { sums[7], sums[1] + sums[2] + sums[3] + sums[4], sums[5], sums[6] }
  for at, before in ipairs(numbers(redis.call('HGET', job.ledger, field) or '')) do sums[at] = sums[at] + before end
  for at, sum in ipairs(sums) do sums[at] = ms(sum) end
  count_usage(job, leaf, usage)
  redis.call('HSET', job.ledger, field, table.concat(sums, ' '))
  if amounts[1] ~= 0 then redis.call('HINCRBY', job.key, 'cost', ms(amounts[1])) end
  for scope in string.gmatch(scopes, '%S+') do
    for at, what in ipairs(WHATS) do
      if amounts[at] ~= 0 then redis.call('HINCRBY', job.ledger, 'b:' .. scope .. ':' .. what, ms(amounts[at])) end
    end
  end
  keep_alive(job, job.ledger)
end

-- Scopes of what a step consumes outside its calls: its job, its agent, and those that its parents spend from.
local function scopes_of(job, step, leaf, kind)
  local scopes = 'job agent:' .. string.match(leaf, '^%S+') .. (kind == 'synthesis' and '' or ' work')
  local spec = redis.call('HGET', job.specs, step)
  if not string.find(spec, '"budgets":[', 1, true) then return scopes end
  for _, one in ipairs(cjson.decode(spec)['budgets'] or {}) do
    if not string.find(scopes .. ' ', ' ' .. one['scope'] .. ' ', 1, true) then scopes = scopes .. ' ' .. one['scope'] end
  end
  return scopes
end

-- Leaves the first entries of a step's journal. That of a replay stays: whatever fails there, what was recorded is known.
local function rewind(job, step, kept)
  if redis.call('HEXISTS', job.key, 'replay') == 1 then return end
  local order, ids = redis.call('HGET', job.journal, step .. ' #'), {}
  if not order then return end
  for id in string.gmatch(order, '%S+') do
    if #ids < kept then ids[#ids + 1] = id else redis.call('HDEL', job.journal, step .. ' ' .. id) end
  end
  if #ids == 0 then redis.call('HDEL', job.journal, step .. ' #')
  else redis.call('HSET', job.journal, step .. ' #', table.concat(ids, ' ')) end
end
