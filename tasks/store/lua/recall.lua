-- The journal of a step, at one moment. Stands alone, without the prelude. O(its entries).
-- KEYS[1] journals of the job
-- ARGV[1] step
-- Reply: two an entry, in order: its id, its content
local ids, reply = redis.call('HGET', KEYS[1], ARGV[1] .. ' #') or '', {}
for id in string.gmatch(ids, '%S+') do
  reply[#reply + 1] = id
  reply[#reply + 1] = redis.call('HGET', KEYS[1], ARGV[1] .. ' ' .. id) or ''
end
return reply
