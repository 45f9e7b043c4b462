// Package lookup reads DNS answers as the proofs of origin want them: a name
// that does not exist is an answer, everything else that goes wrong is a
// temporary error.
package lookup
