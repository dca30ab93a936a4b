-- Lets one run of a tool begin, and counts it: at most so many in any window, over the whole fleet. Stands alone.
-- KEYS[1] list of the beginnings that count, oldest first: never more than the limit
-- ARGV[1] limit, [2] window in ms
-- Reply: -1 it may begin; else ms until asking again makes sense
local most, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local count = redis.call('LLEN', KEYS[1])
if count > most then -- the limit was lowered
  redis.call('LTRIM', KEYS[1], -most, -1)
  count = most
end
if count == most then
  local left = redis.call('LINDEX', KEYS[1], 0) + window - now
  if left > 0 then return math.min(left, window) end
  redis.call('LPOP', KEYS[1])
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], window)
return -1
