// Package dkimsig is what DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617) have
// in common: header sections, the choice of fields that h= makes, the canonical
// forms, hashes and fields of signatures, keys and their records in the DNS.
package dkimsig
