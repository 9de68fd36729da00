-- What wrk sends: POSTs of one AdmissionReview. Arguments: the file with the review, "keep-alive" or "close".
-- There is no function `request`, so wrk makes the request once and runs no Lua while it measures.

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    if arguments[2] == "close" then wrk.headers["Connection"] = "close" end
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": %d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
