// Package dkimsig is what DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617)
// have in common: canonical forms, hashes, the choice of header fields, keys
// and their records, and the fields that hold signatures.
//
// It is our own and not go-msgauth's because that one cannot be bounded or
// mended from outside: its time grows with the square of the number of h= names
// or of empty lines at the end of a body, it refuses every l=, compares
// domains by case, does not see t=s, and knows no context.
package dkimsig
