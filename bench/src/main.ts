// filled in next
export {}
