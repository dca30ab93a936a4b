-- What is known of a key, and what its tenant may do. Stands alone.
-- KEYS[1] hash of keys: id → record in JSON, [2] hash of tenants: name → limits in JSON
-- ARGV[1] id of the key, or '' for none: then the limits are those of tenant `default`
-- Reply: {how many keys there are, the record or '', the limits or '', now in Unix ms}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local record = ARGV[1] ~= '' and redis.call('HGET', KEYS[1], ARGV[1])
local tenant = record and cjson.decode(record)['tenant'] or 'default'
return { redis.call('HLEN', KEYS[1]), record or '', redis.call('HGET', KEYS[2], tenant) or '', string.format('%.0f', now) }
