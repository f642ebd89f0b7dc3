process.mainModule.require('fs').writeFileSync(process.env.CANARY, '')
