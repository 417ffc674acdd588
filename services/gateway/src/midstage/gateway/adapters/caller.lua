-- Who calls, before throttle is asked: the finding of the key filter is a customer, or a customer
-- and the name of its key with a blank between them. Neither has one in itself.

function envoy_on_request(handle)
  local headers = handle:headers()
  local found = headers:get("x-midstage-customer")
  local at = found ~= nil and found:find(" ", 1, true)
  if at then
    headers:replace("x-midstage-customer", found:sub(1, at - 1))
    headers:replace("x-midstage-key", found:sub(at + 1))
  end
end
