-- Hold what a job may still cost from its tenant's day, if that has as much left. Once: what is held already stays.
-- ARGV[4] the most that the job may cost, all of it, [5] what the day has, or '' for any
-- Reply: -1 held; else ms until the day ends
local job = ARGV[2]
local last, held, _, settled = find(job)
if held then -- it is tried again before its end was settled: that end lets nothing go
  redis.call('HSET', key_of(last), 't:' .. job, ms(now))
  return -1
end
local amount, key = math.max(tonumber(ARGV[4]) - settled, 0), key_of(today)
local total = tonumber(redis.call('HGET', key, 'total') or '0')
if ARGV[5] ~= '' and amount > 0 and total + amount > tonumber(ARGV[5]) then return (today + 1) * DAY - now end
redis.call('HINCRBY', key, 'total', ms(amount))
redis.call('HSET', key, 'h:' .. job, ms(amount), 't:' .. job, ms(now))
keep_days(today)
redis.call('ZADD', KEYS[2], ms(now), member)
redis.call('PEXPIRE', KEYS[2], (days + 1) * DAY)
return -1
