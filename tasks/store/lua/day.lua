-- What tenants may spend in a day (UTC, by the clock of Redis). Stands before the scripts that count it.
-- KEYS[1] what the keys of the tenant's days begin with: a hash a day, [2] sorted set of holds: tenant:job → looked at, Unix ms
-- ARGV[1] tenant, [2] job, [3] days that are looked back for a job, and kept
-- A day: total · s:<job> settled on it · h:<job> held on it, beside that · t:<job> since when, Unix ms
-- A job that is tried again on a later day is on both: each day bears what it cost then.

local DAY = 86400000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local today, days = math.floor(now / DAY), tonumber(ARGV[3])
local member = ARGV[1] .. ':' .. ARGV[2]

local function ms(number) return string.format('%.0f', number) end

local function key_of(day) return KEYS[1] .. ':' .. ms(day) end

-- The last day that a job is on, what it holds there and since when, and what is settled of it on all days together.
local function find(job)
  local last, held, since, settled = nil, nil, nil, 0
  for day = today, today - days, -1 do
    local of = redis.call('HMGET', key_of(day), 's:' .. job, 'h:' .. job, 't:' .. job)
    if not last and (of[1] or of[2]) then last, held, since = day, tonumber(of[2] or nil), tonumber(of[3] or nil) end
    settled = settled + tonumber(of[1] or '0')
  end
  return last, held, since, settled
end

local function keep_days(day)
  redis.call('PEXPIRE', key_of(day), (days + 1) * DAY)
end

local function let_go(job, day, held)
  redis.call('HDEL', key_of(day), 'h:' .. job, 't:' .. job)
  if held ~= 0 then redis.call('HINCRBY', key_of(day), 'total', ms(-held)) end
  redis.call('ZREM', KEYS[2], member)
end
