-- A step, at one moment. Stands alone, without the prelude. O(its attempts), however wide the plan.
-- KEYS[1] the job's hash, [2] its steps, [3] its specs, [4] its results, [5] what is kept apart
-- ARGV[1] step, then the letters of the fields that are wanted
-- Reply: {whether there is such a job, the step's spec or '', fields and values of :steps, of :results, of :big}
local step, facts, results, big = ARGV[1], {}, {}, {}
local function add(list, key, field)
  local value = redis.call('HGET', key, field)
  if value then
    list[#list + 1] = field
    list[#list + 1] = value
  end
end
for at = 2, #ARGV do add(facts, KEYS[2], ARGV[at] .. ':' .. step) end
add(big, KEYS[5], 'r:' .. step)
for _, kind in ipairs({ 'r', 'f', 'p' }) do add(results, KEYS[4], kind .. ':' .. step) end
for number = 1, tonumber(redis.call('HGET', KEYS[2], 'a:' .. step) or '0') do
  add(results, KEYS[4], 'a:' .. step .. ':' .. number)
end
return { redis.call('EXISTS', KEYS[1]), redis.call('HGET', KEYS[3], step) or '', facts, results, big }
