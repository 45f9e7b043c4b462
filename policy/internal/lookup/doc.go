// Package lookup sends DNS queries for SPF, DKIM, DMARC and ARC. A name that does
// not exist is a valid, empty answer. Every other error is temporary.
package lookup
