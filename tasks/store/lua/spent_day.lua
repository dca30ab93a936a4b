-- What is spent and held of a tenant's day. Stands alone.
-- KEYS[1] what the keys of the tenant's days begin with: lua/day.lua
-- Reply: {the total, ms until the day ends}
local DAY = 86400000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local today = math.floor(now / DAY)
local total = redis.call('HGET', KEYS[1] .. ':' .. string.format('%.0f', today), 'total')
return { total or '0', (today + 1) * DAY - now }
