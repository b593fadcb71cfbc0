-- wrk's part: `depth` requests at a time on a connection, and a line of figures at the end.
local depth = tonumber(os.getenv("DEPTH") or "1")
local batch

function init(args)
    local one = wrk.format()
    local all = {}
    for i = 1, depth do all[i] = one end
    batch = table.concat(all)
end

function request()
    return batch
end

function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("figures %d %d %d", summary.requests, summary.duration,
                        e.connect + e.read + e.write + e.status + e.timeout))
end
