-- Write the checked children of a parked step: nothing → ready (no dependencies) or blocked. Once for each wait.
-- ARGV[3] job id, [4] parent, [5] key of its wait, [6] event data, [7] most steps of the job,
-- then twelve a child: see `write_step`
-- Reply: 1 written | 0 stale: the wait has an outcome or children, or the parent is not parked | 2 a step has such an id,
-- or there would be too many steps: others of its job were faster
local job, parent, key = open_job(ARGV[3]), ARGV[4], ARGV[5]
local facts = redis.call('HMGET', job.steps, 's:' .. parent, 'T:' .. parent, 'i:' .. parent)
local wait = redis.call('HMGET', job.waits, wait_field('w', parent, key), wait_field('o', parent, key), wait_field('c', parent, key))
if facts[1] ~= 'parked' or not wait[1] or wait[2] or wait[3] then return 0 end
for at = 8, #ARGV, 12 do if redis.call('HEXISTS', job.specs, ARGV[at]) == 1 then return 2 end end
if tonumber(redis.call('HGET', job.key, 'total')) + (#ARGV - 7) / 12 > tonumber(ARGV[7]) then return 2 end

local children, ready = {}, {}
for at = 8, #ARGV, 12 do
  local step, free = write_step(job, at)
  redis.call('HSET', job.steps, 'p:' .. step, parent .. ' ' .. key, 'q:' .. step, ms(now))
  -- Its time ends with its parent's, or sooner: a time of its own begins when it is ready.
  if facts[2] then redis.call('HSET', job.steps, (ARGV[at + 8] == '0' and 'T:' or 'Z:') .. step, facts[2]) end
  children[#children + 1] = step
  if free then ready[#ready + 1] = step else await_join(job, step) end
end
local names, order = table.concat(children, ' '), redis.call('HGET', job.key, 'order')
redis.call('HSET', job.waits, wait_field('c', parent, key), names, wait_field('n', parent, key), #children)
redis.call('HSET', job.steps, 'i:' .. parent, (facts[3] and facts[3] ~= '' and facts[3] .. ' ' or '') .. names)
redis.call('HSET', job.key, 'order', order .. ' ' .. names)
redis.call('HINCRBY', job.key, 'open', #children)
redis.call('HINCRBY', job.key, 'total', #children)
emit(job, 'children_accepted', parent, nil, ARGV[6])
for _, step in ipairs(ready) do to_ready(job, step) end
return 1
