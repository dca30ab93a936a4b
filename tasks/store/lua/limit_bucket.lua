-- The token buckets of one key and model class, for a whole fleet. Stands before limit_book and limit_correct.
-- KEYS[1] bucket, KEYS[2] holds: call -> its record, KEYS[3] ends of the holds, KEYS[4] circuit of the key
-- ARGV[1..3] limits a minute that are known beforehand, of requests, input and output tokens, or ''; [4] call
-- Fields of the bucket, each with r (requests), i (input tokens) or o (output tokens) behind it:
--   limit a minute, as headers told it · size most that it can hold, as far as seen · level what is there now, after
--   all bookings; below nothing, it is a queue · held by calls that have not ended · raised, lowered sums of all
--   corrections · seen, least, most: how many answers were compared since the last one, and between what bounds they
--   said more than expected
-- and: at (of the levels) · crowd (most calls that were under way) · landed (sum of all output) · pause, free (until) ·
-- tail (of those who were sent away) · probing (since) · raw, input, output (averages). Times in Unix ms.

local UNITS = { 'r', 'i', 'o' }
local MARGIN = 0.99 -- of the refill: rounding and clocks must not add up to a refusal
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local call = ARGV[4]

local bucket = {}
local flat = redis.call('HGETALL', KEYS[1])
for at = 1, #flat, 2 do bucket[flat[at]] = tonumber(flat[at + 1]) end

local function of(name, unit) return bucket[name .. unit] or 0 end
local function add(name, unit, amount) bucket[name .. unit] = of(name, unit) + amount end

-- Limits of this moment: a header's wins over one that was known beforehand.
local limit, size, rate = {}, {}, {}
local function look()
  for at, unit in ipairs(UNITS) do
    limit[unit] = bucket['limit' .. unit] or tonumber(ARGV[at])
    if limit[unit] then
      rate[unit] = limit[unit] / 60000
      size[unit] = math.min(limit[unit], bucket['size' .. unit] or limit[unit])
      bucket['level' .. unit] = math.min(size[unit], bucket['level' .. unit] or size[unit])
    end
  end
end
look()
-- A clock that was set back refills nothing.
local elapsed = math.max(0, now - (bucket.at or now))
for unit, each in pairs(rate) do
  bucket['level' .. unit] = math.min(size[unit], of('level', unit) + elapsed * each * MARGIN)
end
bucket.at = now

-- Forgets a hold; gives its record.
local function drop(id)
  local text = redis.call('HGET', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  if not text then return nil end
  redis.call('HDEL', KEYS[2], id)
  local hold = cjson.decode(text)
  for _, unit in ipairs(UNITS) do add('held', unit, -hold.cost[unit]) end
  return hold
end

-- What a killed process holds ends by itself.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, 20)) do
  if id ~= call then drop(id) end
end

local function save(ttl)
  local fields = {}
  for name, value in pairs(bucket) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.3f', value)
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  for at = 1, 3 do
    if redis.call('PTTL', KEYS[at]) < ttl then redis.call('PEXPIRE', KEYS[at], string.format('%.0f', ttl)) end
  end
end

