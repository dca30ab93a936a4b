-- A job has ended: what it has cost takes the place of what it held, on the day that it was held. Again: no change.
-- KEYS[3] hash of tenants: name → limits in JSON
-- ARGV[4] what it has cost, all of it; '' when it was not begun: what it held is free again,
-- [5] when it ended, Unix ms, or '' for now: what was held since then is for another try, and stays
-- Reply: 1 counted | 0 nothing to count: it holds nothing, and its tenant has no daily budget
local job = ARGV[2]
local last, held, since, settled = find(job)
if ARGV[4] == '' then
  if held then let_go(job, last, held) else redis.call('ZREM', KEYS[2], member) end
  return held and 1 or 0
end
local limits = not last and redis.call('HGET', KEYS[3], ARGV[1])
if not last and not (limits and cjson.decode(limits)['daily_microusd']) then return 0 end
local more = tonumber(ARGV[4]) - settled
local ended = held and (ARGV[5] == '' or since <= tonumber(ARGV[5]))
local day = last or today
if not held and more > 0 then day = today end -- nobody held it when it was tried again: the day that it ended bears it
if ended then let_go(job, day, held)
elseif held then -- it is being tried again already: of what is held for that, this much is spent
  local rest = math.max(held - math.max(more, 0), 0)
  redis.call('HINCRBY', key_of(day), 'total', ms(rest - held))
  redis.call('HSET', key_of(day), 'h:' .. job, ms(rest))
end
redis.call('HINCRBY', key_of(day), 's:' .. job, ms(more))
redis.call('HINCRBY', key_of(day), 'total', ms(more))
keep_days(day)
if not held then redis.call('ZREM', KEYS[2], member) end
return 1
