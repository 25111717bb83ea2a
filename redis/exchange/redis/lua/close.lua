-- Close the gate behind the last outcome, so that a clean stop needs no jump at the next start.
-- KEYS: j:top j:run
-- ARGV: epoch, last number
local top = redis.call('HMGET', KEYS[1], 'epoch', 'cmd', 'out')
if top[1] ~= ARGV[1] then
  return {'EPOCH'}
end
if top[2] ~= ARGV[2] or top[3] ~= ARGV[2] then
  return {'TOP'}
end
redis.call('DEL', KEYS[2])
return {'OK'}
