this.constructor.constructor('return process')().mainModule
