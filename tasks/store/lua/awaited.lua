-- What steps of a job wait for, at one moment. Stands alone, without the prelude.
-- KEYS[1] waits of the job
-- ARGV[1] step, or '' for all: then only what its steps were last parked for
-- Reply: six a wait: step, key, what is waited for, when it expires or '', its outcome or '', children or ''
local reply = {}
local function add(step)
  for key in string.gmatch(redis.call('HGET', KEYS[1], '# ' .. step) or '', '%S+') do
    local facts = redis.call('HMGET', KEYS[1], 'w ' .. step .. ' ' .. key, 'x ' .. step .. ' ' .. key,
      'o ' .. step .. ' ' .. key, 'c ' .. step .. ' ' .. key)
    for _, one in ipairs({ step, key, facts[1] or '', facts[2] or '', facts[3] or '', facts[4] or '' }) do
      reply[#reply + 1] = one
    end
  end
end
if ARGV[1] ~= '' then
  add(ARGV[1])
else
  local steps = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == '# ' then steps[#steps + 1] = string.sub(field, 3) end
  end
  table.sort(steps)
  for _, step in ipairs(steps) do add(step) end
end
return reply
