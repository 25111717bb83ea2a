-- Become the one engine that may append: from here on no older epoch can.
-- KEYS: j:top j:run j:cmd j:out
-- ARGV: epoch
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if tonumber(ARGV[1]) <= epoch then
  return {'EPOCH', tostring(epoch)}
end
-- The tops are kept beside the streams; a difference means that somebody else wrote or deleted.
local function last_id(stream)
  if redis.call('EXISTS', stream) == 0 then
    return '0'
  end
  local information = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #information, 2 do
    if information[i] == 'last-generated-id' then
      return string.match(information[i + 1], '^0%-(%d+)$') or information[i + 1]
    end
  end
end
local cmd = redis.call('HGET', KEYS[1], 'cmd') or '0'
local out = redis.call('HGET', KEYS[1], 'out') or '0'
local cmd_last, out_last = last_id(KEYS[3]), last_id(KEYS[4])
if cmd ~= cmd_last or out ~= out_last then
  return {'TORN', 'j:top says ' .. cmd .. ' and ' .. out .. ', the streams end at ' .. cmd_last .. ' and ' .. out_last}
end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
-- Which Redis process was claimed: after a restart of it nobody can lead who has not claimed anew.
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'cmd', cmd, 'out', out, 'run', run_id)
local open = redis.call('GET', KEYS[2]) == run_id
return {'OK', run_id, cmd, out, open and 'open' or 'closed'}
