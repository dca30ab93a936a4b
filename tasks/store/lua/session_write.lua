-- Make or change a session. O(what is written), however long the conversation is.
-- ARGV[3] session, [4] ttl ms, [5] most messages, [6] most tool calls,
-- [7] new (it must not be there) | any (made if it is not) | old (it must be there),
-- [8] version that it must have, or '', [9] token of this write or '': one that was made before is answered and not made
-- again, [10] agent of a new one, [11] how many fields, then their names and values ('' removes one),
-- then five an entry: message | call, role or tool, content, metadata, when (Unix ms; '': now)
-- Reply: {done | there | gone | stale, version after it, number of the last message, of the last call}
local session, mode, version, token = open_session(ARGV[3]), ARGV[7], ARGV[8], ARGV[9]
local once = session.key .. ':once:'
local minute = math.floor(now / 60000)
local function standing(outcome)
  local facts = redis.call('HMGET', session.key, 'version', 'seq', 'calls')
  return { outcome, facts[1] or '0', facts[2] or '0', facts[3] or '0' }
end
if token ~= '' then
  for _, at in ipairs({ minute, minute - 1 }) do
    local done = redis.call('HGET', once .. ms(at), token)
    if done then return cjson.decode(done) end
  end
end
local there = redis.call('EXISTS', session.key) == 1
if there and mode == 'new' then return standing('there') end
if not there and mode == 'old' then return standing('gone') end
if version ~= '' and (redis.call('HGET', session.key, 'version') or '0') ~= version then return standing('stale') end
local changes = make_session(session, ARGV[10], ARGV[4], ARGV[5])

local fields = tonumber(ARGV[11])
for at = 12, 11 + 2 * fields, 2 do
  changes = true
  if ARGV[at + 1] == '' then redis.call('HDEL', session.key, ARGV[at])
  else redis.call('HSET', session.key, ARGV[at], ARGV[at + 1]) end
end
for at = 12 + 2 * fields, #ARGV, 5 do
  changes = true
  local when = ARGV[at + 4] ~= '' and ARGV[at + 4] or ms(now)
  if ARGV[at] == 'message' then say(session, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], '', when)
  else
    redis.call('XADD', session.calls, 'MAXLEN', '~', ARGV[6], redis.call('HINCRBY', session.key, 'calls', 1) .. '-0',
      'at', when, 'tool', ARGV[at + 1], 'call', ARGV[at + 2])
  end
end
if changes then keep_session(session) end
local reply = standing('done')
if token ~= '' then
  redis.call('HSET', once .. ms(minute), token, cjson.encode(reply))
  redis.call('PEXPIRE', once .. ms(minute), 180000)
end
return reply
