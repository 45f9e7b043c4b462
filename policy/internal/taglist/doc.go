// Package taglist parses tag lists ("name=value; name=value") of DKIM and ARC (RFC
// 6376, 3.2).
package taglist
