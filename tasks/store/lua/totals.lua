-- What the fleet counted in a partition, and what it had counted when a window of time began. Stands alone.
-- KEYS[1] the totals
-- ARGV[1] seconds of the stretches that the window is made of, [2] how many of them before that of now; '' for since ever
-- Reply: {now, Unix s; beginning of the window, Unix s; fields and values now; those of the beginning}
local now = tonumber(redis.call('TIME')[1])
if ARGV[1] == '' then return { now, 0, redis.call('HGETALL', KEYS[1]), {} } end
local length = tonumber(ARGV[1])
local last = math.floor(now / length)
local first = last - tonumber(ARGV[2])
for number = first, last do
  local key = KEYS[1] .. ':' .. ARGV[1] .. ':' .. string.format('%.0f', number)
  if redis.call('EXISTS', key) == 1 then
    return { now, first * length, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', key) }
  end
end
return { now, first * length, {}, {} } -- nothing was counted since then
