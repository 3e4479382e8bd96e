lt_test(rpc status)
lt_test(rpc noise)
lt_test(rpc frame)
lt_test(rpc line)
